DROP TABLE xid_lead;
DROP TABLE idempotency_keys;
DROP TABLE field_values;
DROP TABLE annotation_history;
DROP TABLE annotations;

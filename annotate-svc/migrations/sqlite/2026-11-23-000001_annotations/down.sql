DROP TABLE commits;
DROP TABLE idempotency_keys;
DROP TABLE field_values;
DROP TABLE annotation_history;
DROP TABLE annotation_words;
DROP TABLE annotations;

DROP TABLE xid_lead;
DROP TABLE dead_letters;
DROP TABLE event_shapes;
DROP TABLE trait_index;
DROP TABLE events;

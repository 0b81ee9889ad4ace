DROP TABLE history;
DROP TABLE outbox;
DROP TABLE holders;
DROP TABLE cursors;
DROP TABLE stream_traits;
DROP TABLE members;
DROP TABLE streams;
DROP SEQUENCE stream_ids;

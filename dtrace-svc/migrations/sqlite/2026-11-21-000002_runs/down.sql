DROP TABLE run_messages;
DROP TABLE runs;

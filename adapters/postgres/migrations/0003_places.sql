-- Where a task that goes round by stretches left off, for whichever process does the next one.
ALTER TABLE turns ADD COLUMN place text;

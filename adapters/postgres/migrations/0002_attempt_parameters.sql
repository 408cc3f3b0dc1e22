-- What an attempt was started with becomes the connection's only with its success. The release before
-- writes none: where they are NULL, the connection's hold.
ALTER TABLE attempts ADD COLUMN parameters json;

-- Its successor is in 0003: not dropped there, since a lock on writers must not grow into one on readers. The
-- release before looks through the table instead, once a minute.
DROP INDEX connections_stale;

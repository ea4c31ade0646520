-- nearcast_api::channel::Settings as JSON.
ALTER TABLE channels ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

-- 1 for the key of an encoder that stands by.
ALTER TABLE stream_keys ADD COLUMN backup BIGINT NOT NULL DEFAULT 0;

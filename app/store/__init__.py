"""The service's data in Redis: keys, Lua scripts and announcements."""

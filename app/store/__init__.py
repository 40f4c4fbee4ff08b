"""What the service keeps in Redis: keys, Lua scripts, announcements."""

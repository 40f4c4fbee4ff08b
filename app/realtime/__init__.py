"""The socket side: events, who is where, and bringing every member to the newest state."""

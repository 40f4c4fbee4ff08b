#!/bin/sh
# Creates a session with the movies of a file and takes part in it as the host, in this terminal:
#   movie-night.sh FILE [TITLE]
# Needs join-session on the PATH. JOIN_SESSION_URL names another service than http://localhost:8080.
set -eu
made=$(join-session create --movies "$1" --title "${2:-Movie night}" --show-token)
part() { printf '%s\n' "$made" | sed -n "s/^$1  *//p"; }
echo "Invite others: $(part link)"
# In the environment, because anybody on this computer can read the arguments of a process.
JOIN_SESSION_TOKEN=$(part "host token") exec join-session join "$(part code)"

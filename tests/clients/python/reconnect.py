"""Joins a session and prints what it hears: `reconnect.py ADDRESS CODE`."""

import sys

import socketio

address, code = sys.argv[1:]
socket = socketio.Client()
me = {"sessionID": code, "name": "Ada"}


socket.on("connect", lambda: socket.emit("join-session", me, callback=me.update))
socket.on("joined-session", lambda joined: print("joined", flush=True))
socket.on("session-update", lambda data, meta, offset: print("title", meta["title"], flush=True))
socket.connect(address)
socket.wait()

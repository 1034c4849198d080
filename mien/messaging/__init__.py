"""Outgoing messages to a learning record store and a webhook, queued on disk until delivered."""

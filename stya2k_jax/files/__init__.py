"""Files on disk: written whole or not at all, JSON, settings that must not change, digests, locks.

Read atomic, json_files, settings, digests, directory_manifest, directory_lock, machine. Knows
nothing of pictures or models.
"""

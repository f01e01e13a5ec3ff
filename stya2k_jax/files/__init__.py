"""Files on disk: written whole or not at all, JSON, settings that must not change, digests.

Read atomic, json_files, settings, digests, directory_manifest. Knows nothing of pictures or models.
"""

"""The commands of `stya2k`, one file each.

Read stylize, train, evaluate; then command_line and compile_cache, which they share.
"""

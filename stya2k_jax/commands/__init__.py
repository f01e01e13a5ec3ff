"""The commands of `stya2k`, one file each; command_line holds what they share."""

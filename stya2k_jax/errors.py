"""The error of everything that a user can put right."""


class UserError(ValueError):
    """Something that the caller gave is wrong; the message says what, where and what to do."""

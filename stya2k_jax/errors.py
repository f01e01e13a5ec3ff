"""The error of everything that a user can put right."""


class UserError(ValueError):
    """Something that the caller gave is wrong; the message says what, where and what to do."""


class PictureError(UserError):
    """A picture that cannot be read."""


class WeightsError(UserError):
    """Weights that are missing, damaged or made for another network."""

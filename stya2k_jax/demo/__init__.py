"""The page of `stya2k demo`, and the showcase page of `make demo`.

Read server, page, painting; showcase, training_story, examples.
"""

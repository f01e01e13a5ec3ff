"""The pages of `stya2k demo` and `stya2k webcam`, and the showcase page of `make demo`.

Read server, page, painting; camera_server; showcase, training_story, examples.
"""

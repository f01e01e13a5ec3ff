"""The weights of a network: their names, their files, and `load`.

Read parameters, model_files, run_checkpoints (the only file that imports Orbax), loading,
averaging. The shipped a2k-mini lies in `pretrained`.
"""

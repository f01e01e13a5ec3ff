"""Training: losses, the step, and runs that can be stopped and resumed exactly.

Read losses, objective, step, recipe, loop, train_painter; then devices, run_directory, log,
initial_weights. The small encoder: student, train_encoder, narrow_encoder.
"""

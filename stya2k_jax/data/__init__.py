"""Training input: from folders, array records or TensorFlow Datasets to batches.

Read source, opening, batches; then array_records, tfds, jpeg_window, worker_processes, packing,
unreadable. Knows nothing of the network.
"""

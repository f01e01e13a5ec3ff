"""Evaluation: which systems, pairs and metrics, and one report of them.

Read protocol, systems, pairs, judge, measure_pairs, evaluate_pictures, results, summary, report;
`clips` measures steadiness in time.
"""

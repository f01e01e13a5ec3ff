"""HTML pages, plots and tables from numbers and pictures; knows no network.

Read page, metric_tables, paper_tables, plots, picture_grids, study_page.
"""

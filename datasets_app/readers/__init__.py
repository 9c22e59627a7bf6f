"""The readers of the file formats. Each turns a stream, or a Parquet file, into batches of rows in constant memory.

They run in the import's child process (datasets_app/storing.py): neither Django nor a database is needed here.
"""

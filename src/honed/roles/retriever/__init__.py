"""The text retriever: search settings, a query-side adapter, the query tower, both towers."""

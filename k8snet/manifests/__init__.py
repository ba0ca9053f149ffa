"""What did the person write, and would the API server take it?"""

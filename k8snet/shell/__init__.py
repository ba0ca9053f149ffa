"""What would the terminal print?"""

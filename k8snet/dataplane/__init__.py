"""What happens to this packet?"""

"""What does the cluster know?"""

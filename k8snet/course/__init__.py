"""Did the learner get it?"""

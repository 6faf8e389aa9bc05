"""Learners that decide one step at a time and are judged by regret."""

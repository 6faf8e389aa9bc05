"""Claims of the papers about learners that decide one step at a time."""

"""The tests: one file for each source file, whole journeys under paths/, the house's own rules under house/."""

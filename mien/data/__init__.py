"""Reading, checking and describing FER2013 and other face data sets."""

"""The class server: what a group shows, live and after the lesson, and never who."""

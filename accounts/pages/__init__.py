"""Pages that sign people in: developers to the dashboard, customers to an app."""

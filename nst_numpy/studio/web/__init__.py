"""The studio's page and its server: all that needs NiceGUI."""

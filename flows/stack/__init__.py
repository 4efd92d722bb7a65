"""The team's services: what docker-compose.yml says, started natively, and what they need once."""

"""The demo coding agent: a script that speaks ACP. Standard library only; it travels in the agent's bundle."""

"""What the function judge_model needs: a guarded line to an endpoint, a prompt, a verdict, a budget and a memory.

Free of Django. What the web application knows (keys, trusted hosts, where the memory lies) it gives to surroundings.py.
"""

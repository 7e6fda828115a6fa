"""Pictures from ComfyUI servers: `--engine comfyui --hosts a,b,c`.

`client.py` talks to one server; `workflow.py` fills a workflow in; `server.py`, `pool.py` and `engine.py` make a
catalogue of it.
"""

"""The review page: a small website on loopback, for its owner's browser alone. A door like the command line.

`server` listens and loads the rest at the first visit, `owner` and `gate` say who may come in, `visits` who is in,
`routes` what is asked, `views` what is shown, `words` in which language. Every change is made by the verbs.
"""

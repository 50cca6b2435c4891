"""Models at home: what there is to have (`catalogue`), how it gets here (`pull`) and what is here (`library`).

    pull        joins the rest: a name, an address or a file becomes an entry of the library
    reference   what a person may type for a model, and `plan`, which files that is
    sources     where a file can come from: a repository on a hub, an address, a Python wheel
    hugging_face, wheel, download, connection     how each of them is reached
    adopt       taking in a file that is on this machine already
    disk, check files that are whole or not there, locks, room; sizes and checksums
    recommend   the model to offer on this machine, to this person

Nothing is fetched unless asked for. What is inside a model file is the business of `gadfly.weights`.
"""

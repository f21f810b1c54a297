"""The dashboard: pages for a browser that answer an operator's questions about services, one question on each page.

============  ==========================================================================================================
``board``     what is known at one moment, as values, and what pages conclude from it
``pages``     which page is at which path: title, the command that tells the same, and the template's values
``templates`` the one door to Jinja, and what templates may use
``watcher``   keeps the board up to date, from ZooKeeper and from the instances
``actions``   what a visitor may have done, if the dashboard was started so
``server``    HTTP: pages, streams of pages that change, and who may ask
============  ==========================================================================================================

Theory of operation. The *watcher* looks at ZooKeeper whenever a watch fires, asks the instances of services that
somebody is looking at, and makes a new :class:`~zkrpc.dashboard.board.Board`. A page is a pure function of the board
and the request. A browser gets a whole page first, which needs no script; where scripts run, it then opens a stream on
which the server sends the page's main part again whenever that has changed. So a page and its updates cannot differ,
and the script has nothing to know.

Like the admin door (:mod:`zkrpc.admin`), whose HTTP machine and guard it uses, it listens on loopback, and anywhere
else only with a token. It changes nothing unless it was started with ``--allow-actions``; then it always wants a token.
"""

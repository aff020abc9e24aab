"""The blocking resources: each names the methods of the asynchronous one that it has, and gives them its form."""

from studiolo.sdk.portal import Blocking, blocking, paged, streamed
from studiolo.sdk.resources import (
    account,
    backups,
    datasets,
    environments,
    files,
    gpus,
    images,
    kernels,
    notifications,
    people,
    platform,
    policies,
    requests,
    scans,
    sessions,
    shares,
    versions,
    workspaces,
)


class Workspaces(Blocking[workspaces.Workspaces]):
    """Create, find, change and delete workspaces. A workspace is named by id, `owner/name` or name."""

    list = paged(workspaces.Workspaces.list)
    create = blocking(workspaces.Workspaces.create)
    get = blocking(workspaces.Workspaces.get)
    update = blocking(workspaces.Workspaces.update)
    delete = blocking(workspaces.Workspaces.delete)
    limits = blocking(workspaces.Workspaces.limits)
    scale = blocking(workspaces.Workspaces.scale)
    config = blocking(workspaces.Workspaces.config)
    set_config = blocking(workspaces.Workspaces.set_config)
    metadata = blocking(workspaces.Workspaces.metadata)
    export = blocking(workspaces.Workspaces.export)
    export_file = blocking(workspaces.Workspaces.export_file)
    export_archive = blocking(workspaces.Workspaces.export_archive)
    import_archive = blocking(workspaces.Workspaces.import_archive)
    clone = blocking(workspaces.Workspaces.clone)
    clone_progress = blocking(workspaces.Workspaces.clone_progress)
    wait_for_clone = blocking(workspaces.Workspaces.wait_for_clone)
    cancel_clone = blocking(workspaces.Workspaces.cancel_clone)
    move = blocking(workspaces.Workspaces.move)
    move_progress = blocking(workspaces.Workspaces.move_progress)
    wait_for_move = blocking(workspaces.Workspaces.wait_for_move)
    cancel_move = blocking(workspaces.Workspaces.cancel_move)
    confirm_move = blocking(workspaces.Workspaces.confirm_move)
    stats = blocking(workspaces.Workspaces.stats)
    usage = blocking(workspaces.Workspaces.usage)
    report = blocking(workspaces.Workspaces.report)
    duplicate = blocking(workspaces.Workspaces.duplicate)
    transfer = blocking(workspaces.Workspaces.transfer)
    reset = blocking(workspaces.Workspaces.reset)
    clear_cache = blocking(workspaces.Workspaces.clear_cache)
    trash = paged(workspaces.Workspaces.trash)
    restore = blocking(workspaces.Workspaces.restore)
    erase = blocking(workspaces.Workspaces.erase)
    members = blocking(workspaces.Workspaces.members)
    set_member = blocking(workspaces.Workspaces.set_member)
    remove_member = blocking(workspaces.Workspaces.remove_member)
    leave = blocking(workspaces.Workspaces.leave)


class Sessions(Blocking[sessions.Sessions]):
    """Launch, find, stop and restart sessions. A session is named by id, `workspace/name` or a unique name."""

    list = paged(sessions.Sessions.list)
    launch = blocking(sessions.Sessions.launch)
    get = blocking(sessions.Sessions.get)
    start = blocking(sessions.Sessions.start)
    stop = blocking(sessions.Sessions.stop)
    restart = blocking(sessions.Sessions.restart)
    wait = blocking(sessions.Sessions.wait)
    delete = blocking(sessions.Sessions.delete)
    log = blocking(sessions.Sessions.log)
    usage = blocking(sessions.Sessions.usage)
    snooze = blocking(sessions.Sessions.snooze)
    progress = streamed(sessions.Sessions.progress)
    follow_log = streamed(sessions.Sessions.follow_log)
    execute = blocking(sessions.Sessions.execute)


class Kernels(Blocking[kernels.Kernels]):
    """List, start, interrupt, restart and stop kernels, and read what they put out. A kernel is named by its id."""

    list = paged(kernels.Kernels.list)
    start = blocking(kernels.Kernels.start)
    get = blocking(kernels.Kernels.get)
    stop = blocking(kernels.Kernels.stop)
    interrupt = blocking(kernels.Kernels.interrupt)
    restart = blocking(kernels.Kernels.restart)
    log = blocking(kernels.Kernels.log)
    output = blocking(kernels.Kernels.output)
    follow_output = streamed(kernels.Kernels.follow_output)
    specs = blocking(kernels.Kernels.specs)
    create_spec = blocking(kernels.Kernels.create_spec)
    remove_spec = blocking(kernels.Kernels.remove_spec)


class Files(Blocking[files.Files]):
    """Files of workspaces, without a session. A path is relative to the workspace's folder."""

    list = paged(files.Files.list)
    info = blocking(files.Files.info)
    search = blocking(files.Files.search)
    mkdir = blocking(files.Files.mkdir)
    move = blocking(files.Files.move)
    copy = blocking(files.Files.copy)
    delete = blocking(files.Files.delete)
    upload = blocking(files.Files.upload)
    download = blocking(files.Files.download)
    read = blocking(files.Files.read)


class Shares(Blocking[shares.Shares]):
    """Share notebooks and files with those who are members of a workspace."""

    list = paged(shares.Shares.list)
    create = blocking(shares.Shares.create)
    delete = blocking(shares.Shares.delete)


class Versions(Blocking[versions.Versions]):
    """Earlier versions of files. `path` is relative to the workspace's folder."""

    list = paged(versions.Versions.list)
    download = blocking(versions.Versions.download)
    compare = blocking(versions.Versions.compare)
    restore = blocking(versions.Versions.restore)


class FileTrash(Blocking[versions.FileTrash]):
    """Files and folders that were deleted from workspaces."""

    list = paged(versions.FileTrash.list)
    restore = blocking(versions.FileTrash.restore)
    erase = blocking(versions.FileTrash.erase)


class Account(Blocking[account.Account]):
    """The person whose key the client uses."""

    get = blocking(account.Account.get)
    change_password = blocking(account.Account.change_password)
    logins = blocking(account.Account.logins)
    sign_out_everywhere = blocking(account.Account.sign_out_everywhere)


class Keys(Blocking[account.Keys]):
    """API keys of the signed-in person."""

    list = blocking(account.Keys.list)
    create = blocking(account.Keys.create)
    revoke = blocking(account.Keys.revoke)


class People(Blocking[people.People]):
    """The people of a platform; for administrators."""

    list = paged(people.People.list)
    create = blocking(people.People.create)
    sign_in_link = blocking(people.People.sign_in_link)
    access = blocking(people.People.access)
    set_admin = blocking(people.People.set_admin)
    suspend = blocking(people.People.suspend)
    reinstate = blocking(people.People.reinstate)
    hand_over = blocking(people.People.hand_over)
    erase = blocking(people.People.erase)


class Invitations(Blocking[people.Invitations]):
    """One-time links by which people join; for administrators."""

    list = paged(people.Invitations.list)
    create = blocking(people.Invitations.create)
    renew = blocking(people.Invitations.renew)
    withdraw = blocking(people.Invitations.withdraw)
    accept = blocking(people.Invitations.accept)


class Banners(Blocking[people.Banners]):
    """What administrators tell everybody, on every page."""

    get = blocking(people.Banners.get)
    post = blocking(people.Banners.post)
    withdraw = blocking(people.Banners.withdraw)


class Requests(Blocking[requests.Requests]):
    """Requests for packages that a workspace's policy does not allow."""

    create = blocking(requests.Requests.create)
    list = paged(requests.Requests.list)
    get = blocking(requests.Requests.get)
    withdraw = blocking(requests.Requests.withdraw)
    approve = blocking(requests.Requests.approve)
    deny = blocking(requests.Requests.deny)
    install_again = blocking(requests.Requests.install_again)


class Notifications(Blocking[notifications.Notifications]):
    """What the person whose key the client uses was told."""

    list = paged(notifications.Notifications.list)
    read = blocking(notifications.Notifications.read)


class Audit(Blocking[platform.Audit]):
    """The record of changes; for administrators."""

    list = paged(platform.Audit.list)


class Platform(Blocking[platform.Platform]):
    """What anybody may ask of a platform."""

    get = blocking(platform.Platform.get)
    health = blocking(platform.Platform.health)
    disk = blocking(platform.Platform.disk)
    free = blocking(platform.Platform.free)
    sign_in = blocking(platform.Platform.sign_in)
    begin_device_sign_in = blocking(platform.Platform.begin_device_sign_in)
    finish_device_sign_in = blocking(platform.Platform.finish_device_sign_in)
    sign_in_device = blocking(platform.Platform.sign_in_device)
    profiles = blocking(platform.Platform.profiles)
    engines = blocking(platform.Platform.engines)
    inspect = blocking(platform.Platform.inspect)


class Backups(Blocking[backups.Backups]):
    """Backups on the platform's machine; for administrators."""

    list = blocking(backups.Backups.list)
    start = blocking(backups.Backups.start)
    cancel = blocking(backups.Backups.cancel)
    wait = blocking(backups.Backups.wait)


class Datasets(Blocking[datasets.Datasets]):
    """Folders of the platform's machine that sessions may read."""

    list = paged(datasets.Datasets.list)
    create = blocking(datasets.Datasets.create)
    update = blocking(datasets.Datasets.update)
    delete = blocking(datasets.Datasets.delete)


class GPUs(Blocking[gpus.GPUs]):
    """See GPUs and who has them, and be told when some are free."""

    get = blocking(gpus.GPUs.get)
    notify = blocking(gpus.GPUs.notify)
    withdraw = blocking(gpus.GPUs.withdraw)


class Policies(Blocking[policies.Policies]):
    """See, set and try package policies."""

    get = blocking(policies.Policies.get)
    set = blocking(policies.Policies.set)
    history = paged(policies.Policies.history)
    what_if = blocking(policies.Policies.what_if)
    check = blocking(policies.Policies.check)
    refused_of_base = blocking(policies.Policies.refused_of_base)
    revoke = blocking(policies.Policies.revoke)


class Scans(Blocking[scans.Scans]):
    """Scan workspaces, read reports, accept findings."""

    start = blocking(scans.Scans.start)
    progress = blocking(scans.Scans.progress)
    wait = blocking(scans.Scans.wait)
    cancel = blocking(scans.Scans.cancel)
    list = paged(scans.Scans.list)
    get = blocking(scans.Scans.get)
    file = blocking(scans.Scans.file)
    accept = blocking(scans.Scans.accept)
    reopen = blocking(scans.Scans.reopen)
    accepted = blocking(scans.Scans.accepted)


class Packages(Blocking[environments.Packages]):
    """Packages of a workspace's environment."""

    list = blocking(environments.Packages.list)
    install = blocking(environments.Packages.install)
    remove = blocking(environments.Packages.remove)
    check = blocking(environments.Packages.check)
    search_conda = blocking(environments.Packages.search_conda)


class Images(Blocking[images.Images]):
    """Images of workspaces' environments."""

    build = blocking(images.Images.build)
    list = blocking(images.Images.list)
    get = blocking(images.Images.get)
    wait = blocking(images.Images.wait)
    remove = blocking(images.Images.remove)


class Bases(Blocking[environments.Bases]):
    """What environments begin from."""

    list = blocking(environments.Bases.list)
    add = blocking(environments.Bases.add)
    choose = blocking(environments.Bases.choose)
    remove = blocking(environments.Bases.remove)


class Environments(Blocking[environments.Environments]):
    """Environments of workspaces and their builds."""

    get = blocking(environments.Environments.get)
    builds = paged(environments.Environments.builds)
    build = blocking(environments.Environments.build)
    wait = blocking(environments.Environments.wait)
    progress = streamed(environments.Environments.progress)
    cancel = blocking(environments.Environments.cancel)
    rollback = blocking(environments.Environments.rollback)
    undo = blocking(environments.Environments.undo)
    rebuild = blocking(environments.Environments.rebuild)
    restore = blocking(environments.Environments.restore)
    restore_notebook = blocking(environments.Environments.restore_notebook)
    stamp_notebook = blocking(environments.Environments.stamp_notebook)
    difference = blocking(environments.Environments.difference)
    lock = blocking(environments.Environments.lock)
    sbom = blocking(environments.Environments.sbom)

### Les textes des pages en français, ceux des codes de motif compris.

## Le cadre

skip-to-content = Aller au contenu
nav-main = Principale
nav-home = Mes serveurs
nav-new = Nouveau serveur
nav-usage = Usage
nav-help = Aide
nav-tokens = Jetons
nav-servers = Tous les serveurs
nav-floor = Plan des machines
nav-hosts = Machines
nav-queue = File d’attente
logged-in-as = Connecté en tant que
log-out = Se déconnecter
log-out-ask = Se déconnecter ?
log-out-servers = Vos serveurs continuent de tourner.
footer = Langue et thème
language = Langue
theme = Thème
theme-system = Comme le système
theme-light = Clair
theme-dark = Sombre
live-lost = Le hub redémarre ou le réseau est coupé. Reconnexion…
refresh = Actualiser

## Mots

ago = il y a { $span }
just-now = à l’instant
less-than-a-minute = moins d’une minute
my-server = Mon serveur
servers =
    { $count ->
        [one] { $count } serveur
       *[other] { $count } serveurs
    }
gpus =
    { $count ->
        [one] { $count } GPU
       *[other] { $count } GPU
    }
state-waiting = en attente
state-starting = démarre
state-running = en marche
state-unreachable = injoignable
state-stopping = s’arrête
state-ended = terminé
sign-notebook = le rapport du serveur de notebooks
sign-browser = un navigateur
sign-kernel = un noyau occupé
sign-terminal = un terminal
sign-cpu = l’usage du processeur
sign-gpu = l’usage du GPU
sign-network = des données qui circulent
sign-cluster = un cluster Dask en calcul

## Connexion

log-in = Se connecter
log-in-lead = Vos notebooks, sur les machines de votre site.
log-in-or-password = Ou avec un mot de passe de ce site :
user-name = Nom d’utilisateur
login-wrong = Nom d’utilisateur ou mot de passe incorrect.
login-too-many = Trop d’essais. Réessayez dans { $seconds } secondes.
login-no-passwords = Personne ne se connecte par mot de passe ici.
login-account = { $reason } { $why } { $remedy }
login-unavailable = Le hub ne peut connecter personne en ce moment. Réessayez dans une minute.
login-no-cookie = Votre navigateur n’a pas envoyé de cookie ; autorisez les cookies pour ce site et réessayez.
login-not-now = Pas en ce moment
login-again = Reconnectez-vous
login-not = Vous n’êtes pas connecté
password = Mot de passe

## Accueil

home-lead = Fermer l’onglet n’arrête pas un serveur.
account-lapsed = Votre compte n’est plus valide. { $why }
on-host = sur { $host }
memory-used = { $used } de mémoire utilisés
memory-limit = limite { $limit }
memory-peak = au plus { $peak } jusqu’ici
gpu-busy = GPU { $model } : occupé à { $busy } %
gpu-unknown = GPU { $model } : usage inconnu
gpu-memory = { $used } sur { $total } utilisés
out-of-memory = Mémoire épuisée.
out-of-memory-next = Ce qu’il avait calculé est perdu ; le serveur continue de tourner.
out-of-memory-more = Donnez-lui plus de mémoire ci-dessous, puis relancez le noyau.
killed-process = un processus
killed-kernel = { $name } (noyau { $kernel })
killed-notebook = { $name } (notebook { $notebook })
killed-by-host = { $who } a été tué : la machine n’avait plus de mémoire (le serveur avait utilisé { $highest } de ses { $limit })
killed-by-limit = { $who } a été tué : le serveur avait utilisé toute sa mémoire, { $limit } (vu : { $highest })
space-left-out = Il manque quelque chose.
memory-lent = Il avait presque épuisé ses { $own } de mémoire ; sa machine lui prête donc { $lent } jusqu’à { $time }. Libérez-en, ou demandez davantage.
resize-under-way = Sa mémoire passe à { $memory }.
resize-refused = Sa mémoire reste à { $memory } :
host-silent = Sa machine ne s’est pas manifestée depuis { $span }.
host-silent-next = Pour autant qu’on sache, le serveur tourne toujours ; rien n’est arrêté ni démarré deux fois. Les administrateurs le voient aussi.
queue-place = Place { $place } dans la file.
held-title = Une place est gardée pour vous jusqu’au
held-next = Prenez-la et votre serveur démarre aussitôt. Si personne ne la prend, elle va au suivant de la file.
held-take = Prendre la place
held-pass = La laisser passer
held-tab = Une place est gardée pour vous
held-tell = Une place est gardée pour { $server }
held-spoken = C’est votre tour : une place est gardée pour vous.
held-mail-subject = Une place est gardée pour « { $server } » jusqu’à { $until }
held-mail-text =
    Votre serveur de notebooks « { $server } » ({ $profile }) attendait une place, et son tour est venu.

    La place est gardée pour vous jusqu’à { $until }. Ouvrez la page ci-dessous et le serveur démarre aussitôt. Si personne ne vient, la place va au suivant de la file, et rien d’autre ne se passe.
last-log = Dernières lignes de son journal
ended-since = terminé il y a { $span }
state-since = { $state } depuis { $span }
last-activity = dernière activité { $ago }
why-there = Pourquoi là ?
why = Pourquoi ?
change-memory = Changer sa mémoire
change-memory-to = Sans redémarrage, à
change = Changer
open = Ouvrir
show-progress = Voir l’avancement
leave-queue = Quitter la file
restart = Redémarrer
stop = Arrêter
start-again = Redémarrer à l’identique
with-amount = Avec { $amount }
with-other-choices = Avec d’autres choix
remove-from-list = Retirer de cette liste
details-same = Demander encore la même chose
details-page = Tout à son sujet, avec son journal
report-problem = Signaler un problème

## Sa vie

gpu-unused-since = Son GPU est réservé et inutilisé depuis
gpu-unused-next = D’autres l’attendent. Utilisez-le ou prolongez le serveur pour le garder ; ou continuez avec les mêmes notebooks sans GPU. Vos noyaux sont alors perdus, et votre place dans la file pour un GPU est gardée.
gpu-unused-without = L’arrêter et continuer sans GPU
kept-alive-by = Maintenu en vie par { $what }, { $ago }.
idle-since = Inactif depuis
will-stop = S’arrêtera
stops-without-activity = Sans autre activité il s’arrête
extend = Prolonger de { $step } ({ $left } sur { $of } restants)
stop-soon-age = Le serveur va s’arrêter : il a tourné aussi longtemps que son profil le permet.
stop-soon-gpu = Le serveur va s’arrêter : son GPU est réservé et inutilisé.
stop-soon-training = Le serveur va s’arrêter : sa formation est terminée.
stop-soon-idle = Le serveur va s’arrêter : il ne s’y passe rien.

## Nouveau serveur

spawn-others = Autres serveurs
start-first = Démarrez votre premier serveur
name-fixed = Il s’appellera { $name }.
name-needed = Votre serveur principal est utilisé ; celui-ci a donc besoin d’un nom à lui.
spawn-lead = Choisissez ce qu’il vous faut. La ligne sous votre choix dit ce qui se passerait maintenant ; rien ne démarre avant que vous appuyiez sur Démarrer.
starting-for = Vous démarrez un serveur pour { $user }.
no-profile = Il n’y a encore rien à choisir : les administrateurs n’ont pas défini de profil.
memory = Mémoire
memory-of = { $amount } de mémoire
memory-at-most = Au plus { $amount } pour vous.
memory-suggested = Vos derniers serveurs ont eu besoin d’au plus { $peak } : { $amount } conseillés.
gpu-count = GPU
gpu-model = Modèle de GPU
gpu-model-any = N’importe lequel
image = Image
name = Nom
name-hint = Lettres minuscules, chiffres et traits d’union simples, par exemple
name-give = Lui donner un nom
name-empty = (vide : votre serveur principal)
name-more = Pour un serveur de plus à côté du principal.
start = Démarrer
start-my-server = Démarrer mon serveur
ask-access = Demander l’accès
verdict-now = Démarre tout de suite
verdict-on = sur { $host }.
verdict-waits = Attendrait, place { $place }.
verdict-between = Probablement { $from } à { $to }.
verdict-nearest = { $amount } démarreraient tout de suite.
verdict-no = Impossible.
verdict-not-yours = Pas pour vous.
verdict-by-group = Il est donné par groupe ; ceux qui l’ont : { $groups }.
verdict-by-name = Il n’est donné qu’à certaines personnes.
verdict-participants = Il est réservé aux participants de { $title }.
verdict-had = Vous l’avez eu jusqu’au
verdict-ask = Demandez-le aux administrateurs.
verdict-closed = Fermé.
verdict-closed-until = Fermé jusqu’au
verdict-not-on = { $title } n’a pas lieu en ce moment.
verdict-over = { $title } est terminée.
verdict-opened-by = Seules les formations utilisent ces machines ; { $title } les ouvre alors pour vous.
verdict-choose = Seules les formations utilisent ces machines ; { $title } a lieu : choisissez-la.
verdict-trainings-only = Seules les formations utilisent ces machines.
forecast-shared =
    { $others ->
        [0] Personne d’autre n’est sur cette machine.
        [one] Un autre serveur est sur cette machine.
       *[other] { $others } autres serveurs sont sur cette machine.
    }
forecast-idle = S’arrête après { $span } sans activité.
forecast-never = Rien ne l’arrête, sauf vous.
forecast-quota = { $used } de vos { $limit } de mémoire seront alors utilisés.
copy-link = Lien vers ce choix
copy-link-hint = il remplit le formulaire et ne démarre rien

## Démarrage et attente

waiting-title = En attente d’une place
waiting-place-before = Place
waiting-place-after = dans la file
waiting-your-place = Votre place dans la file.
waiting-may-close = Vous pouvez fermer cette page.
waiting-for = En attente depuis { $span }.
waiting-depends =
    { $count ->
        [one] Un serveur y sera arrêté d’ici { $span }, à moins qu’on n’y revienne.
       *[other] { $count } serveurs y seront arrêtés d’ici { $span }, à moins qu’on n’y revienne.
    }
waiting-depends-gpu =
    { $count ->
        [one] Un serveur avec GPU sera arrêté d’ici { $span }, à moins qu’on n’y revienne.
       *[other] { $count } serveurs avec GPU seront arrêtés d’ici { $span }, à moins qu’on n’y revienne.
    }
waiting-between = La moitié de ces attentes durent de { $from } à { $to }.
waiting-nearest = Un serveur avec { $amount } démarrerait tout de suite.
waiting-take-nearest = Quitter la file et demander { $amount }
waiting-meanwhile = Prendre entre-temps un serveur sans GPU
usual-time = Un tel démarrage prend d’habitude { $seconds } ; s’il dure bien plus longtemps, l’étape où il se trouve dit pourquoi, ou annulez-le et réessayez.
starting-title = Votre serveur démarre
starting-silent = La machine ne s’est pas manifestée depuis { $span }.
starting-silent-unknown = La machine ne s’est pas manifestée.
starting-silent-next = Le démarrage reprend de lui-même dès qu’elle se manifeste. Votre serveur n’est pas démarré une seconde fois ailleurs, car il y tourne peut-être déjà.
ready-title = Votre serveur est prêt
open-it = L’ouvrir
stopping-title = Arrêt en cours
stopping-lead = { $title } est en cours d’arrêt. Un nouveau démarrage est possible dès qu’il n’en reste rien sur sa machine.
failed-title = Votre serveur n’a pas démarré
try-again = Réessayer
try-again-soon = possible dans un instant, quand les restes seront effacés
not-running-title = Le serveur ne tourne pas
cancel-start = Annuler ce démarrage
how-host-chosen = Comment sa machine a été choisie
step-done = { " " }: fait
step-failed = { " " }: échoué
step-todo = { " " }: pas encore
step-not-accepted = Refusé
step-accepted = Demande acceptée
step-waiting = En attente d’une machine
step-host = Machine choisie
step-host-named = Machine choisie : { $host }
step-way = Ouverture du chemin
step-fetch = Image récupérée
step-image = Image présente
step-spaces = Vos espaces vérifiés
step-container = Conteneur créé
step-started = Conteneur démarré
step-answers = JupyterLab répond
doing-fetch = Récupération de l’image, ce qui prend quelques minutes
fetch-percent = { $percent } % en sont là
doing-image = Recherche de l’image
doing-spaces = Vérification de vos espaces
doing-container = Création du conteneur
doing-started = Démarrage du conteneur
doing-answers = Attente de la réponse de JupyterLab
spoken-waits = En attente à la place { $place } : { $why }
spoken-step = { $step }.
spoken-silent = La machine ne se manifeste pas en ce moment.
spoken-ready = Votre serveur est prêt.
spoken-stops = Le serveur est en cours d’arrêt.
spoken-failed = Le démarrage a échoué : { $why }
spoken-ended = Le serveur ne tourne pas.
placed-on = Placé sur { $host }.

## La page d’un serveur

server = Serveur
sign-of-activity = Signe d’activité
newest = Le plus récent
keeps-it-alive = Le maintient en vie
yes = oui
no-by-rules = non, selon les règles du site
timeline = Ce qui lui est arrivé
timeline-asked = Demandé
timeline-placed = Placé sur { $host }
timeline-answers = Il répond
timeline-ended = Il s’est terminé
timeline-step = { $step }, { $seconds } s plus tard
timeline-killed = Mémoire épuisée : un processus a été tué
decisions = Décisions à son sujet
queue-decisions = Décisions
all-decisions = Chacune avec son explication
environment = Ce qu’il est
spaces = Ses espaces à côté de HOME
read-only = lecture seule
space-usable = utilisable
owner = Propriétaire
profile = Profil
host = Machine
generation = Démarrages jusqu’ici
server-id = Numéro pour les administrateurs

## Un serveur qui ne tourne pas

not-started-yet = { $title } n’a pas encore été démarré.
after-start-you-come = Après le démarrage vous arrivez à
start-it = Le démarrer

## Pourquoi ?

why-foreseen = Tout ce qui serait examiné pour cette demande maintenant, et ce qu’il en adviendrait. Rien n’a été démarré.
why-lead = Tout ce qui a été regardé pour cette demande, et ce qu’il en est résulté.
server-of = { $server } de { $user }
asked-for = Demandé
image-named = image { $image }
when = Quand
reason = Motif
decision = Décision
what-would-help = Ce qui aiderait
what-would-help-lead = Tout ceci a été essayé à ce moment, sur les machines telles qu’elles étaient.
ask-for-that = Demander cela
rules = Règles
passed = satisfaite :
failed = non satisfaite :
hosts-possible =
    { $count ->
        [one] { $count } machine possible ; impossibles :
       *[other] { $count } machines possibles ; impossibles :
    }
verdict = Verdict
because = Parce que
no-host-looked-at = Aucune machine n’a été regardée : une règle avait tranché avant.
hosts-order = Les machines possibles sont dans l’ordre de préférence ; la première valeur qui diffère décide.
outcome-placed = placé
outcome-waits = attend
outcome-refused = refusé
host-chosen = choisie
host-possible = possible
host-excluded = exclue
nearest-memory = Un serveur avec { $memory } démarrerait tout de suite.
nearest-gpus =
    { $count ->
        [0] Un serveur sans GPU démarrerait tout de suite.
        [one] Un serveur avec { $count } GPU démarrerait tout de suite.
       *[other] Un serveur avec { $count } GPU démarrerait tout de suite.
    }
nearest-profile = Le profil { $profile } démarrerait tout de suite.
nearest-stop = Il démarrerait si vous arrêtiez un de vos serveurs.
nearest-from = Tel quel, c’est possible à partir de { $moment }.
nearest-host = Il démarrerait si { $host } revenait ({ $reason }).
waits-in-place = Attend à la place { $place } : { $why }

## Erreurs

error-forbidden = Ce n’est pas pour votre compte
error-for-administrators = Cette page est pour les administrateurs.
error-not-for-you = Ceci ne vous est pas ouvert
error-scopes = Il faut pour cela un rôle avec les droits { $scopes } sur tout. Les administrateurs les ont ; roles.toml les donne à d’autres.
error-not-possible-here = Ce n’est pas possible ici.
error-store = Le hub ne peut pas utiliser sa base en ce moment. Les serveurs en marche ne sont pas concernés.
error-wrong = Quelque chose s’est mal passé
error-reload = Rechargez la page dans un instant ; si cela persiste, prévenez les administrateurs.
error-no-answer = Votre serveur ne répond pas
error-no-answer-text = Il démarre peut-être, ou il est occupé. Rechargez la page dans un instant, ou regardez-le sur votre page d’accueil.
error-nothing-here = Rien ici
error-no-page = Cette page n’existe pas.
error-not-yours = Cette page n’existe pas, ou elle n’est pas pour votre compte. Si quelqu’un vous a donné le lien, demandez-lui.
error-cannot-be = C’est impossible
error-upstream = Pas de réponse
error-upstream-next = Ce que cette page montre ne répond pas. Si cela vient de commencer, réessayez dans quelques secondes.
error-go-back = { $why }. Revenez en arrière et corrigez.
error-memory = Mémoire : { $why }
error-gpus = GPU : il faut un nombre
error-name = Un nom a 30 caractères au plus : a-z d’abord, puis a-z, 0-9 ou un seul - à la fois, pas de - à la fin.
error-amount = écrivez une quantité, p. ex. 512 MB ou 16 GB
xsrf-other-site = Cette requête a été envoyée par un autre site.
xsrf-missing = L’argument « _xsrf » manque : rechargez la page et réessayez.
xsrf-mismatch = Le jeton XSRF ne correspond pas ; rechargez la page et réessayez.
error-form-too-large = Ce formulaire est trop grand.
error-form-unread = Ce formulaire n’a pas pu être lu. Revenez en arrière, rechargez la page et réessayez.
error-hub = Le hub a un problème
error-hub-text = Rien n’a été changé, et les serveurs en marche ne sont pas touchés. Réessayez dans un instant ; si cela persiste, prévenez les administrateurs.
error-loop = Boucle de redirections.
error-loop-text = Votre serveur tourne, mais le proxy n’y mène pas. Réessayez dans une minute ; si cela persiste, prévenez les administrateurs.
error-not-delivered = Ce que vous avez envoyé n’a pas pu être remis. Démarrez le serveur, puis réessayez.
error-not-extended = Son arrêt ne peut pas être repoussé
extension-none = L’arrêt de tels serveurs ne peut pas être repoussé.
extension-used-up =
    { $of ->
        [one] Il a déjà été repoussé autant que possible : une fois, de { $step }.
       *[other] Il a déjà été repoussé autant que possible : { $of } fois, de { $step } chacune.
    }
extension-left =
    { $left ->
        [one] Il peut être repoussé encore une fois, de { $step }.
       *[other] Il peut être repoussé encore { $left } fois, de { $step } chacune.
    }
extension-nothing = Rien ne va l’arrêter : il n’y a rien à repousser.
extension-not-running = Il ne tourne pas.
resize-nearest = { $memory } conviendraient à présent.
error-memory-stays = La mémoire reste telle quelle
error-still-running = Il tourne encore
error-still-running-text = Arrêtez d’abord le serveur ; il pourra ensuite être retiré de la liste.

## Jetons

tokens-lead = Avec un jeton, un programme agit à votre place sur ce site : il démarre et arrête vos serveurs, il accède à vos notebooks. Traitez-le comme un mot de passe.
token-new-is = Votre nouveau jeton. Copiez-le maintenant : il ne sera plus montré.
token-new = Nouveau jeton
token-full = Vous avez autant de jetons qu’une personne peut en avoir. Révoquez-en d’abord.
token-for = À quoi sert-il ?
token-for-example = par exemple : ajustement de nuit
token-ends-after = Il expire après
days =
    { $count ->
        [one] { $count } jour
       *[other] { $count } jours
    }
one-year = 1 an
token-scopes = Que peut-il faire ?
token-scopes-example = vide : tout ce que vous pouvez ; ou des portées, par exemple read:servers!user
token-make = Créer un jeton
token-none = Vous n’avez pas de jeton.
token-of-browser = Un serveur que vous avez ouvert dans un navigateur
token-number = Jeton { $id }
token-column-for = Pour
token-column-made = Créé
token-column-used = Dernier usage
token-column-ends = Expire
actions = Actions
never = jamais
revoke = Révoquer
token-no-scope = Il n’y a pas de portée « { $scope } ».
token-not-held = Vous n’avez pas { $scopes } vous-même, ou seulement pour ce qui est à vous, par exemple read:servers!user

## Usage

usage-title = Quota et usage
usage-lead = Ce que vous occupez maintenant, ce que vous pouvez occuper, et ce que vous avez utilisé.
usage-now = Maintenant
usage-held = { $used } sur { $limit }
usage-no-limit = { $used }, sans limite
usage-servers = Serveurs
usage-gpus = GPU
usage-window = Ces 30 derniers jours
gpu-hours = Heures de GPU
gpu-hours-used = GPU au travail
gib-hours = GiB-heures de mémoire
usage-given-by = donné par
usage-past = Vos demandes de ces 30 jours
usage-past-none = Vous n’avez rien demandé pendant ce temps.
usage-csv = En tableau (CSV)
budget-of = { $used } sur { $limit } en { $window }

## Aide

help-title = Aide et règles de ce site
help-lead = Tirées de la configuration en vigueur.
help-idle = Combien de temps vit un serveur sans activité
help-idle-never = ne s’arrête pas pour cela
help-age = Âgé d’au plus { $span }
help-extend = Vous pouvez repousser un arrêt de { $step } à la fois.
help-warn = Vous êtes prévenu { $leads } avant.
help-closing = Fermer l’onglet n’arrête pas un serveur, et un calcul continue sans navigateur.
help-reasons = Ce que disent les motifs
help-reasons-lead = Chaque attente, refus et arrêt porte l’un de ces codes. Donnez-le aux administrateurs quand vous demandez.
help-what = Ce que cela veut dire
help-do = Ce que vous pouvez faire
help-nothing-to-do = Vous n’avez rien à faire.
help-all-reasons = Tous les motifs
help-profiles = Profils

## Motifs

reason-placed-now = Une machine a de la place.
reason-placed-from-queue = Une machine avait de la place quand le tour de la demande est venu.
reason-placed-overflow = Une machine de la formation est en panne ; d’autres machines la remplacent.
reason-refused-account-unknown = Ce compte n’est pas connu ici.
    .remedy = Demandez aux administrateurs de le créer.
reason-refused-account-invalid = Ce compte n’est pas valide en ce moment.
    .remedy = Adressez-vous à ceux qui gèrent les comptes de votre site.
reason-refused-account-unavailable = Personne ne peut dire en ce moment si ce compte est valide.
    .remedy = Réessayez dans quelques minutes ; les administrateurs le voient aussi.
reason-refused-restoring = Le hub a été restauré d’une sauvegarde et ne sait pas encore ce qui tourne.
    .remedy = Réessayez dans une minute ; ce qui tourne continue.
reason-refused-access-denied = Ce compte ne peut pas démarrer de serveurs ici.
    .remedy = Adressez-vous au contact de votre groupe.
reason-refused-profile-unknown = Ce profil ou ce choix n’existe pas.
    .remedy = Choisissez un des profils de la page Nouveau serveur.
reason-refused-access-profile = Ce profil est réservé à certaines personnes.
    .remedy = Demandez l’accès, ou choisissez un autre profil.
reason-refused-access-pool-closed = Ces machines ne sont ouvertes que pendant une formation.
    .remedy = Revenez pendant la formation, ou choisissez un autre profil.
reason-refused-too-big = Plus que ce que donne ce profil.
    .remedy = Demandez moins, ou choisissez un autre profil.
reason-refused-never-fits = Aucune machine de ce groupe n’est aussi grande.
    .remedy = Demandez moins de mémoire.
reason-refused-quota-servers = Le nombre de serveurs par personne est atteint.
    .remedy = Arrêtez d’abord un de vos serveurs.
reason-refused-quota-memory = La limite de mémoire par personne est atteinte.
    .remedy = Arrêtez un de vos serveurs, ou demandez moins.
reason-refused-quota-gpu = Le nombre de GPU par personne est atteint.
    .remedy = Arrêtez d’abord un serveur qui occupe un GPU.
reason-refused-budget-gpu-hours = Les heures de GPU de cette période sont épuisées.
    .remedy = Attendez que la période avance, ou prenez un profil sans GPU.
reason-refused-budget-gib-hours = Les heures de mémoire de cette période sont épuisées.
    .remedy = Attendez que la période avance.
reason-refused-resize-not-running = Seule la mémoire d’un serveur en marche peut être changée.
    .remedy = Démarrez-le avec la mémoire voulue.
reason-refused-resize-under-way = Sa mémoire est déjà en train de changer.
    .remedy = Attendez que ce soit fait.
reason-refused-resize-in-use = Le serveur utilise trop de mémoire pour cela.
    .remedy = Demandez plus, ou libérez d’abord de la mémoire : arrêtez les noyaux dont vous n’avez pas besoin.
reason-refused-resize-no-room = Sa machine n’a pas la place pour cela.
    .remedy = Demandez moins, ou arrêtez-le et redémarrez-le avec plus : il tournera peut-être sur une autre machine.
reason-refused-queue-not-claimed = Sa place était gardée, et personne n’est venu.
    .remedy = Redémarrez-le et gardez sa page ouverte.
reason-refused-queue-max-wait = Il a attendu aussi longtemps que le site le permet.
    .remedy = Redemandez, peut-être moins.
reason-refused-extension-used-up = L’arrêt ne peut plus être repoussé.
    .remedy = Travaillez-y : toute activité déplace l’arrêt. Ou demandez aux administrateurs.
reason-wait-memory-reserved = Toute la mémoire est promise à des serveurs en marche.
    .remedy = Il démarre de lui-même dès que quelqu’un arrête ; avec moins de mémoire il peut démarrer plus tôt.
reason-wait-memory-used = La mémoire vraiment libre ne suffit pas.
    .remedy = Il démarre de lui-même dès que de la mémoire se libère.
reason-wait-memory-growth = Les serveurs qui y sont ne pourraient plus tous grandir.
    .remedy = Il démarre de lui-même dès que de la mémoire se libère.
reason-wait-memory-kept-for-gpus = Ce qui y reste est gardé pour des serveurs avec GPU.
    .remedy = Il démarre de lui-même dès que quelqu’un arrête.
reason-wait-cpu = Tous les processeurs sont promis à des serveurs en marche.
    .remedy = Il démarre de lui-même dès que quelqu’un arrête.
reason-wait-farm-ports = Tous les ports que la ferme de calcul atteint sont pris.
    .remedy = Il démarre de lui-même dès que quelqu’un arrête.
reason-wait-gpu-busy = Tous les GPU qui conviennent sont pris.
    .remedy = Il démarre de lui-même dès qu’un GPU est rendu.
reason-wait-host-none-ready = Aucune machine n’est prête.
    .remedy = Les administrateurs le voient aussi ; il démarre de lui-même quand une machine revient.
reason-wait-order = D’autres ont demandé avant.
    .remedy = Il démarre de lui-même à son tour.
reason-wait-place-held = Une place est gardée pour son propriétaire.
    .remedy = Ouvrez sa page : il démarre aussitôt.
reason-mount-sick = Un espace de la machine ne répond pas.
    .remedy = Les administrateurs le voient aussi ; d’autres machines servent entre-temps.
reason-mount-absent = Un espace manque sur la machine.
    .remedy = Demandez aux administrateurs de l’y monter.
reason-host-joining = La machine ne s’est pas encore manifestée.
    .remedy = Vérifiez berth-agent sur cette machine.
reason-host-mismatch = La machine a moins que ce que déclare hosts.toml ou hosts.d.
    .remedy = Réparez la machine, ou écrivez dans son fichier ce qu’elle a vraiment.
reason-host-cordoned = La machine ne prend rien de nouveau.
reason-host-draining = La machine est en train d’être vidée.
reason-host-drained = La machine a été vidée.
reason-host-closed = La machine est réservée aux formations, et il n’y en a pas en ce moment.
reason-host-not-allowed = Une règle envoie ailleurs les serveurs de cette personne.
reason-host-no-gpu = La machine n’a pas de GPU qui convienne.
reason-host-no-farm = La machine ne donne pas de ports à la ferme de calcul.
reason-host-for-gpus = La machine est réservée aux serveurs avec GPU.
reason-gpu-broken = Un GPU de la machine est mis de côté.
    .remedy = Examinez ce GPU : il est malade, ou utilisé par autre chose.
reason-gpu-unused = Son GPU est réservé et inutilisé.
    .remedy = Demandez à son propriétaire ; les règles de ce site ne l’arrêtent pas d’elles-mêmes.
reason-host-lost = La machine ne se manifeste pas.
    .remedy = Vérifiez berth-agent et le réseau de cette machine.
reason-host-engine-down = Docker ne répond pas sur la machine.
    .remedy = Vérifiez dockerd sur cette machine.
reason-host-not-in-pool = La machine sert à un autre groupe.
reason-host-undeclared = La machine n’est déclarée ni dans hosts.toml ni dans hosts.d.
    .remedy = Déclarez-la, ou révoquez son certificat.
reason-host-doubled = Deux agents se présentent comme cette machine.
    .remedy = Arrêtez-en un : deux machines ne peuvent pas porter le même nom.
reason-failed-image-absent = L’image n’est pas sur la machine.
    .remedy = Choisissez une autre image, ou demandez aux administrateurs de la fournir.
reason-failed-mount = Un espace dont le serveur a besoin manque.
    .remedy = Prévenez les administrateurs ; ce n’est pas de votre faute.
reason-failed-container = Le conteneur n’a pas pu être démarré.
    .remedy = Réessayez ; si cela échoue encore, prévenez les administrateurs.
reason-failed-policy = Les règles de la machine l’interdisent.
    .remedy = Prévenez les administrateurs : les règles [limits] de l’agent et la demande ne s’accordent pas.
reason-failed-gpu = Un GPU du serveur ne peut pas être utilisé.
    .remedy = Redémarrez-le : il en recevra un autre. Les administrateurs voient lequel est mis de côté.
reason-failed-gpu-engine = La machine ne peut pas donner de GPU aux conteneurs.
    .remedy = Prévenez les administrateurs : le NVIDIA Container Toolkit de cette machine et Docker ne s’accordent pas.
reason-failed-account = Le compte sur la machine diffère de celui du hub.
    .remedy = Prévenez les administrateurs.
reason-failed-no-answer = JupyterLab n’a pas répondu à temps.
    .remedy = Regardez le journal ; un fichier abîmé dans votre HOME peut en être la cause. Puis réessayez.
reason-failed-exited = Le serveur s’est terminé pendant son démarrage.
    .remedy = Regardez le journal ; un fichier abîmé dans votre HOME peut en être la cause. Puis réessayez.
reason-stopped-user = Arrêté par son propriétaire.
reason-stopped-admin = Arrêté par un administrateur.
reason-stopped-rehearsal = Arrêté : il ne servait qu’à une répétition.
reason-refused-rehearsal = Il n’y a pas de place que personne d’autre n’attende.
    .remedy = Répétez avec moins de serveurs, ou quand moins de gens travaillent.
reason-stopped-instructor = Arrêté par un formateur.
    .remedy = Redémarrez-le ; rien n’est perdu dans vos espaces.
reason-stopped-account = Arrêté parce que le compte de son propriétaire n’est plus valide.
    .remedy = Adressez-vous à ceux qui gèrent les comptes de votre site.
reason-stopped-idle = Arrêté : il ne s’y passait rien.
    .remedy = Redémarrez-le ; rien n’est perdu dans vos espaces.
reason-stopped-age = Arrêté : il a tourné aussi longtemps que son profil le permet.
    .remedy = Redémarrez-le ; rien n’est perdu dans vos espaces.
reason-stopped-gpu-unused = Arrêté : son GPU était réservé et inutilisé.
    .remedy = Redémarrez-le sans GPU, ou quand vous en aurez besoin.
reason-stopped-drain = Arrêté parce que sa machine est en train d’être vidée.
    .remedy = Redémarrez-le ; il tournera sur une autre machine.
reason-stopped-training-end = Arrêté : sa formation est terminée.
    .remedy = Rien n’est perdu dans vos espaces ; démarrez un autre profil pour continuer.
reason-stopped-memory = Arrêté : il était inactif, et la mémoire de sa machine s’épuisait.
    .remedy = Redémarrez-le ; il tournera là où il y a de la place. Rien n’est perdu dans vos espaces.
reason-failed-home-full = HOME est plein, ou son quota est épuisé.
    .remedy = Supprimez ou déplacez des fichiers, puis redémarrez.
reason-failed-agent = L’agent de la machine n’a pas pu le faire.
    .remedy = Réessayez ; si cela échoue encore, prévenez les administrateurs.
reason-stopped-crash = Le serveur s’est terminé de lui-même.
    .remedy = Redémarrez-le ; si cela se reproduit, prévenez les administrateurs.
reason-stopped-oom = Le serveur a utilisé toute sa mémoire et a été terminé.
    .remedy = Redémarrez-le avec plus de mémoire.
reason-stopped-host-lost = La machine a été redémarrée.
    .remedy = Redémarrez-le ; il tournera peut-être sur une autre machine.

## Visites d’autres personnes

a-server = un serveur
visit = { $visitor } est entré dans { $title }, parce que : { $reason }
visit-until = peut rester jusqu’à
visit-over = jusqu’à
enter-tab = Entrer dans un serveur
enter-title = Entrer dans un serveur de { $owner }
enter-lead = Le serveur { $server } est à { $owner }, qui apprend que vous êtes venu, et pourquoi. Vous y avez accès pendant { $span }.
enter-trust = Ce qu’a écrit { $owner } s’exécute dans votre navigateur avec vos droits sur ce site : n’entrez que dans un serveur en qui vous avez confiance.
enter-why = Pourquoi entrez-vous ?
enter-example = par exemple : ticket 8812, le noyau ne démarre pas
enter-it = Entrer
enter-not = Ne pas entrer
enter-say-why = Dites pourquoi : le propriétaire le lit.
enter-span = Une visite dure de { $shortest } à { $longest }.

## Ce que peut faire un service

consent-title = Se connecter à { $service }
consent-lead = { $service } demande à savoir qui vous êtes. Il pourrait :
consent-you-are = Vous êtes
consent-elsewhere = Il se trouve sur un autre site. Vous continuez vers
consent-allow = Autoriser
consent-deny = Ne pas autoriser
oauth-no-client = Le paramètre client_id n’est pas valable.
oauth-no-redirect = L’adresse de retour (redirect URI) ne correspond pas.
oauth-not-yours = Ce serveur est à { $owner }.
oauth-no-service = Vous ne pouvez pas utiliser { $service }. Demandez aux administrateurs.
consent-yours = { $what } : les vôtres
consent-only = { $what } : { $filter }
consent-all = { $what } : les vôtres et ceux de tous ceux pour qui vous le pouvez
scope-inherit = faire tout ce que vous pouvez faire sur ce site
scope-self = faire tout ce que vous pouvez faire de ce qui est à vous
scope-read-users-name = lire le nom
scope-read-users-groups = lire les groupes
scope-read-users-activity = lire l’heure de la dernière activité
scope-users-activity = signaler de l’activité
scope-read-users = lire compte, groupes et activité
scope-read-servers = voir les serveurs
scope-start-servers = démarrer des serveurs
scope-delete-servers = arrêter des serveurs
scope-servers = voir, démarrer et arrêter des serveurs
scope-access-servers = utiliser des serveurs de notebooks, avec tous les fichiers qu’ils atteignent
scope-access-services = vous laisser entrer
scope-read-tokens = lister les jetons
scope-tokens = créer et révoquer des jetons
scope-read-shares = voir les partages

## Administration : personnes, usage, fichiers, audit, santé

nav-people = Personnes
nav-everybody = Usage de tous
nav-config = Configuration
show = Afficher
show-all = Tout afficher
nothing-fits = Rien ne correspond.
none = aucun
no = non
from-day = Du
to-day = Au
person = Personne
people = Personnes
group = Groupe
groups = Groupes
no-group = sans groupe
state = État
last-seen = Vu pour la dernière fois
administrator = administrateur
administrator-question = Administrateur
person-decisions = Décisions
server-hours = Heures de serveur
audit-title = Audit
audit-lead = Qui a fait quoi, d’où, à qui et pourquoi. Ce que chacun fait de ses propres serveurs est dans les décisions.
audit-actor = Qui
audit-about = À qui ou à quoi
audit-action = Acte
audit-from = D’où
audit-none = Rien de ce qui est consigné ici n’a encore été fait.
audit-older = Plus anciens
health-title = Santé
health-lead = Ce que dit « berth doctor », vérifié toutes les dix secondes tant que cette page est ouverte.
health-ok = bon
health-warning = à regarder
health-failed = ne marche pas
health-check = Vérifié
health-well = Tout allait bien
health-trouble = Dernier ennui
health-took = Réponse en
health-found = Constaté
health-all-well = Tout va bien
health-count = { $failed } qui ne marchent pas, { $warnings } à regarder
everybody-title = Usage de tous
everybody-lead = Ce que groupes et personnes ont détenu entre deux jours, tous deux compris ; pour aujourd’hui, jusqu’à maintenant.
everybody-by-user = Par personne
everybody-by-group = Par groupe
everybody-by-waste = Le plus d’inutilisé d’abord
everybody-by-held = Le plus de détenu d’abord
held-hours = détenues
used-hours = vraiment utilisées
unused-part = Inutilisé
everybody-only-group = Seulement ce groupe
everybody-none = Personne n’a rien détenu ces jours-là.
people-title = Personnes
people-lead = Qui est connu ici, et qui fait tourner quoi.
people-search = Nom, groupe ou uid
people-found = { $found } sur { $all }
person-lead = Le compte tel que l’annuaire le connaît, et ce que lui donnent les fichiers du site, avec la ligne qui le donne.
person-no-servers = Aucun serveur, en marche ou terminé.
account = Compte
admin-here = oui, nommé ici
admin-by-roles = oui, par roles.toml
identities = Identités
sources = Les sources de l’annuaire
source-knows = connaît le compte
source-knows-not = ne le connaît pas
roles = Rôles
may-ask = peut demander
view-as = Voir son accueil
view-as-title = L’accueil de { $name }
view-as-lead = Tel que son propriétaire le voit, à regarder : ses boutons n’agissent pas, et pour ouvrir un serveur on vous demande pourquoi. Votre visite est dans l’audit.
view-as-back = Retour à la personne
view-as-none = Il n’y a pas de serveur : la personne voit le formulaire pour en demander un.
config-title = Configuration
config-lead = Les fichiers du site : ce qui est en vigueur, ce qui est sur le disque, ce qu’il y avait avant.
config-reload = Appliquer ceux du disque
config-rollback = Revenir aux fichiers d’avant
config-from-disk = Les fichiers du disque sont en vigueur
config-from-kept = Les derniers bons fichiers sont en vigueur : ceux du disque étaient inutilisables au démarrage du hub
config-rolled-back = On est revenu à des fichiers d’avant, en vigueur jusqu’à ce que ceux du disque changent
config-since = depuis
config-wrong = Les fichiers du disque sont faux ; rien n’en est appliqué.
config-same = Le disque dit la même chose.
config-differs = Le disque dit autre chose.
config-problems = Ce qui ne va pas dans les fichiers du disque
config-difference = { $file } : en vigueur, et sur le disque
replay-button = Rejouer les 7 derniers jours
replay-title = Les 7 derniers jours, rejoués
replay-lead = Chaque demande depuis, décidée de nouveau sur les machines d’alors comme si les fichiers sur disque avaient été en vigueur. Rien n’est changé.
replay-none = Aucune demande n’a été enregistrée.
replay-of =
    { $requests ->
        [one] { $requests } demande.
       *[other] { $requests } demandes.
    }
replay-left-off = Il y en avait d’autres ; les plus récentes sont laissées de côté.
replay-same = Chacune recevrait la réponse qu’elle a reçue.
replay-accepted = refusées alors, acceptées maintenant
replay-refused = acceptées alors, refusées maintenant
replay-starts = en attente alors, démarrées maintenant
replay-waits = démarrées alors, en attente maintenant
replay-otherwise = refusées pour une autre raison
replay-then = Alors
replay-with = Avec les fichiers sur disque
config-files = Fichiers
config-file-lead = Tel qu’il est en vigueur.
config-history = Ce qui a changé
config-history-none = Aucun changement n’est consigné.
again-title = Décider de nouveau
again-lead = La même demande sous les fichiers de son temps et sous ceux de maintenant, sur les machines de son temps ; et ce qu’il en serait aujourd’hui. Rien n’est changé.
again-not-kept = Les machines de son temps ne sont plus conservées.
again-when = Sur quoi
again-then = les machines et les fichiers de son temps
again-files-of-now = les machines de son temps, les fichiers de maintenant
again-now = aujourd’hui

## Administration : plan, machines, serveurs, file d’attente

last-sign = Dernière activité
pool = Pool
floor-was = Tel qu’il était le
floor-lead = Chaque machine, et tout ce qui s’y trouve, maintenant.
floor-ways = Ce que disent les couleurs
floor-colour-by = Couleurs par
floor-time = Moment
floor-3-days = il y a 3 jours
now = maintenant
floor-now = Maintenant
floor-link = Lien vers ce moment
floor-none-then = Rien n’était consigné alors.
floor-no-host = Aucune machine n’est déclarée.
floor-pool = Pool { $name }
details = Détails
floor-colours = Couleurs
floor-marks = Signes
mark-reserved = réservé pour un serveur
mark-used = utilisé par lui maintenant
mark-peak = son plus haut usage
mark-promised = promis à la file d’attente
mark-kept = gardé libre sur la machine
mark-gpu-free = GPU libre
mark-gpu-busy = GPU pris ; son activité
mark-gpu-idle = GPU pris et inactif
mark-gpu-broken = GPU mis de côté
without-host = Sans { $host }
no-such-host = Cette machine n’existe pas.
no-such-pool = Ce groupe de machines n’existe pas.
with-hosts =
    { $count ->
        [one] Avec une machine de plus comme { $like }
       *[other] Avec { $count } machines de plus comme { $like }
    }
with-limits = Avec des limites dans { $pool } jusqu’à { $times } fois la mémoire utilisable
waiting-then = Des { $waiting } en attente, { $then } démarreraient ; maintenant { $today }.
largest-then = Le plus grand serveur qui pourrait démarrer dans { $pool } : { $then } ; maintenant { $today }.
what-if = Et si…
what-if-without = Sans la machine
what-if-count = Machines en plus
what-if-like = … comme celles de
what-if-pool = Limites dans
what-if-times = … jusqu’à tant de fois la mémoire utilisable
what-if-look = Voir
as-it-is = Comme c’est
nothing-on-it = Rien ne s’y trouve.
find-room = { $fit } serveurs sur { $of } trouveraient de la place ailleurs.
nobody-moves = Aucun serveur ne devrait partir.
server-of-column = Serveur de
goes-to = Va sur
nowhere = nulle part
amount-free = { $amount } libres
processors = { $count } processeurs
all-about-it = Tout sur elle
what-if-it-went = Et si elle partait ?
what-if-one-more = Et s’il y en avait une de plus ?
last-sign-short = Dernier signe
highest = au plus { $amount }
floor-choose = Choisissez une machine pour voir ses serveurs, ou ce qu’ils deviendraient sans elle.
reserved-of-with = réservés sur { $all }, { $servers }
used-of = utilisés sur { $all }
free = libres
largest-cpu = le plus grand qui peut démarrer, dans { $pool }
largest-gpu = le plus grand avec un GPU, dans { $pool }
gpus-free = GPU libres
waiting-count = en attente
some-of = { $some } sur { $all }
thought-away = retirée en pensée
hosts-lead = Ce que chacune a, ce qui est promis, et ce qui est vraiment utilisé.
hosts-ready = machines prêtes
placed-waiting = serveurs placés, { $waiting } en attente
reserved-of = réservés sur { $all }
hosts-none = Aucune machine n’est déclarée. Ajoutez-en une dans hosts.toml, puis laissez entrer son agent : berth host add NOM
report = Rapport
agent = Agent
legend-reserved = réservé : les limites de ses serveurs
legend-used = utilisé : par tout ce qui est sur la machine
amount-of-reserved = { $some } sur { $all } réservés
amount-reserved = { $some } réservés
amount-of-used = { $some } sur { $all } utilisés
rest-not-known = { $some } réservés, le reste n’est pas connu
let-agent-in = Pour laisser entrer son agent :
amount-used = { $some } utilisés
of-all = sur { $all }
on-the-floor = Sur le plan
drain-button = Vider…
take-again = Accepter de nouveau des serveurs
declared-in = Déclarée dans
no-file = aucun fichier
declared-amount = { $amount } déclarés
reported-kept = { $total } annoncés, { $kept } gardés libres
processors-column = Processeurs
load = Charge, dernière minute
not-known = pas connu
tunnel = Tunnel
last-report = Dernier rapport
no-report = aucun depuis le démarrage du hub
gpu-driver = Pilote des GPU
boot = Démarrage
not-settled = En cours
busy = Activité
on-it = Dessus
well = bon
set-aside = mis de côté
images = Images
images-none = Aucune n’est connue.
its-servers = Ses serveurs
nothing-placed = Rien n’est placé ici.
gpu = GPU
drain-host = Vider { $host }
drain-lead = Dès l’ordre, rien de nouveau n’y est placé. Voici ce que deviendraient ses serveurs ; rien n’a encore été fait.
drain-empty-by = À vider
drain-left = Ce qui reste alors
drain-left-stopped = est arrêté
drain-left-stays = reste
drain-owners-read = les propriétaires le lisent
drain-example = mise à jour du pilote
look-again = Regarder de nouveau
what-would-happen = Ce qui se passerait
drain-empty-at-once = Rien ne s’y trouve : elle est vide aussitôt.
drain-empty-at = Vide le
drain-empty-unknown = On ne sait pas quand elle sera vide.
drain-no-room = { $some } de ses { $all } serveurs ne trouveraient pas de place ailleurs.
drain-all-room = Ses { $all } serveurs trouveraient tous de la place ailleurs.
drain-told =
    { $people ->
        [one] Une personne serait prévenue maintenant, puis { $leads } avant la fin : { $ways }.
       *[other] { $people } personnes seraient prévenues maintenant, puis { $leads } avant la fin : { $ways }.
    }
drain-told-once =
    { $people ->
        [one] Une personne serait prévenue maintenant : { $ways }.
       *[other] { $people } personnes seraient prévenues maintenant : { $ways }.
    }
drain-they-read = Elles liraient :
drain-your-reason = (votre raison)
drain-gpu = { $gpu }, occupé à { $busy } %
told-lab = dans JupyterLab
told-card = sur la carte du serveur
told-mail = par courriel
drain-give-reason = Donnez un motif et regardez de nouveau ; ensuite l’ordre peut être donné.
leave-it = Ne rien faire
what-happens = Ce qui arrive
room-next = Place pour son prochain démarrage
servers-lead = Qui fait tourner quoi, où, et pourquoi ce n’est pas le cas.
filter = Filtrer
saved-views = Vues toutes faites
view-gpu-idle = GPU pris et inactif
view-old = Plus de 30 jours
view-waiting = En attente
view-near-limit = À moins de 10 % de la limite de mémoire
view-outdated = Image dépassée
view-no-fit = Ce qui ne tiendrait pas sans elle
servers-csv = En tableau (CSV)
bulk-notify = Prévenir leurs propriétaires…
bulk-extend = Repousser les arrêts…
bulk-stop = Les arrêter…
no-server-fits = Aucun serveur ne correspond à ce filtre.
no-servers-yet = Personne n’a encore démarré de serveur.
found-of-servers = { $found } serveurs sur { $all }
first-shown = les { $count } premiers sont affichés
stop-of = { $title } de { $owner }
bulk-all = Tous ceux qui sont actifs.
bulk-those = Ceux qui correspondent à
bulk-nothing-yet = Rien n’a encore été fait.
bulk-done = Fait.
bulk-none = Il n’y en a aucun.
bulk-back = Retour au tableau
bulk-left-off = { $count } autres sont laissés de côté : pas plus à la fois.
bulk-leave = Les laisser
queue-title = File d’attente et décisions
queue-lead = Qui attend quoi, dans l’ordre où chacun est servi ; et ce qui a été décidé en dernier.
queue-nobody = Personne n’attend.
place = Rang
waits-for = Attend
since = Depuis
expected-in = Attendu dans
queue-nothing = Rien n’a encore été décidé.
queue-none-fits = Aucune ne correspond.
outcome = Résultat
place-held = { $host } est réservé
span-to = { $from } à { $to }
leaving-stopped = { $host } doit être vide le { $by } : { $reason }. Ce qui y tourne alors est arrêté.
leaving-kept = { $host } doit être vide le { $by } : { $reason }. Rien n’est arrêté de force.
leaving-some-day = { $host } est en train d’être vidée : { $reason }. Rien n’est arrêté de force.
leaving-next = Enregistrez votre travail, puis arrêtez le serveur et relancez-le quand cela vous convient : il tournera sur une autre machine.
host-ready = prête
host-joining = arrive
host-opens = ouvre le { $at } ({ $training })
host-opens-never = aucune formation n’est prévue
host-mismatch-memory = { $declared } de mémoire déclarés, { $reported } annoncés
host-mismatch-gpus = { $declared } GPU { $model } déclarés, { $reported } annoncés
host-lost = muette
host-engine-down = Docker en panne
host-undeclared = non déclarée
host-doubled = en double
host-cordoned = fermée aux nouveaux
host-draining = se vide
host-drained = vidée
host-closed = fermée
seconds-ago = il y a { $count } s
program-unknown = uid { $uid }, aucun serveur
in-10-minutes = dans 10 minutes
in-2-hours = dans 2 heures
in-8-hours = dans 8 heures
in-a-day = dans un jour
in-3-days = dans 3 jours
when-all-ended = quand ses serveurs auront fini d’eux-mêmes
fate-idle = s’arrête de lui-même, inactif
fate-restarted = est redémarré ailleurs
fate-stopped = est arrêté, inactif
fate-interrupted = est arrêté en plein travail
fate-held = reste
drain-say-why = Dites pourquoi : ceux dont les serveurs y sont le lisent
bulk-stop-title = Arrêter des serveurs
bulk-extend-title = Repousser l’arrêt de serveurs
bulk-stop-button = Les arrêter
bulk-extend-button = Repousser leurs arrêts d’un pas
bulk-notify-title = Prévenir les propriétaires de serveurs
bulk-notify-button = Les prévenir
bulk-notify-text = Ce qu’ils doivent lire
bulk-notify-until = Durée
bulk-notify-hours =
    { $hours ->
        [one] pendant { $hours } heure
       *[other] pendant { $hours } heures
    }
bulk-notify-empty = Écrivez ce qu’ils doivent lire.
bulk-told = le lit à l’accueil et dans JupyterLab
bulk-stopping = s’arrête
bulk-not-running = ne tournait plus
bulk-later = s’arrête plus tard
bulk-no-stop = ne va pas être arrêté
bulk-stays = reste tel qu’il est
sum-of-host = { $reserved } réservés, { $used } utilisés sur { $total }
idle-at-work = au travail
idle-hour = inactif depuis moins d’une heure
idle-half-day = inactif depuis moins de 12 heures
idle-day = inactif depuis moins d’un jour
idle-longer = inactif depuis plus longtemps
age-hour = démarré depuis moins d’une heure
age-day = depuis moins d’un jour
age-week = depuis moins d’une semaine
age-month = depuis moins d’un mois
age-older = plus ancien
floor-no-pool = aucun pool
floor-others = les autres
floor-unknown = pas connu
hosts-count =
    { $count ->
        [one] { $count } machine
       *[other] { $count } machines
    }
by-group = Groupe
by-idle = Inactivité
by-age = Âge
by-image = Image
gpu-set-aside = mis de côté : { $why }
gpu-is-free = libre
gpu-held-by = pris par { $who }
gpu-held-idle = pris par { $who }, inactif
gpu-held-busy = pris par { $who }, actif à { $busy } %

## Le cours d’un serveur

charts = Au fil du temps
charts-lead = Les plus hautes valeurs de chaque intervalle, depuis son démarrage ou celui du hub.
chart-memory = au plus { $highest }, limite { $limit }
chart-cpu-title = Processeurs
chart-cpu = au plus { $highest }
chart-gpu = actif au plus à { $highest } %
work-title = Noyaux et terminaux
work-no-kernels = Aucun noyau ne tourne.
work-kernels =
    { $busy ->
        [0] Aucun noyau n’est occupé ; le dernier s’est manifesté il y a { $quiet }.
        [one] { $busy } noyau est occupé ; le dernier s’est manifesté il y a { $quiet }.
       *[other] { $busy } noyaux sont occupés ; le dernier s’est manifesté il y a { $quiet }.
    }
work-terminals =
    { $open ->
        [one] { $open } terminal est ouvert, { $working } au travail.
       *[other] { $open } terminaux sont ouverts, { $working } au travail.
    }
work-moved = { $amount } par seconde passent par son réseau et le stockage.

## Le travail sur la ferme de calcul

farm-title = Sur la ferme de calcul
farm-dashboard = Tableau de bord Dask
farm-pending = attend son tour
farm-running = en marche
farm-stopping = se termine
farm-busy = en calcul
farm-idle = sans calcul
farm-size-unknown = sa taille n’est pas encore connue
farm-workers =
    { $count ->
        [one] { $count } worker
       *[other] { $count } workers
    }
farm-cores =
    { $count ->
        [one] { $count } cœur
       *[other] { $count } cœurs
    }
farm-more-clusters =
    { $count ->
        [one] et { $count } autre cluster
       *[other] et { $count } autres clusters
    }
farm-job = Tâche { $id }
farm-more-jobs =
    { $count ->
        [one] et { $count } autre tâche
       *[other] et { $count } autres tâches
    }
farm-jobs-unknown = L’état des tâches n’est pas connu. Celles qui sont en cours continuent.
farm-clusters-unknown = L’état des clusters Dask n’est pas connu. Ceux qui sont en cours continuent.

## Formations, et ce qui est au-dessus des serveurs

nav-trainings = Formations
board-until = Jusqu’au
notice-put-away = Ranger
notice-have-read = J’ai lu ceci
board-away = La machine { $host }, où tourne un de vos serveurs, doit être vide :
trainings-lead = Des cours avec leurs dates, leurs participants et leurs machines.
trainings-none = Il n’y a pas de formation pour vous.
training = Formation
training-state = État
training-days = Dates
training-there = Connectés
training-images = Image présente, sur les machines
training-preview = Ce que voient les participants
training-pool = Groupe de machines
training-open-until = ouverte jusqu’au
training-opens = ouvre le
training-over = terminée
training-connected = { $connected } connectés sur { $expected } attendus
training-people = Participants
training-nobody = Aucun participant n’est encore connu par son nom.
training-person = Personne
training-active = Activité
training-act = Serveur
training-no-server = pas de serveur
training-never-here = jamais venu
training-start = Démarrer pour { $user }
training-restart = Relancer celui de { $user }
training-stop = Arrêter celui de { $user }
training-do = Ce que vous pouvez faire
training-message = Un message à tous, sur leurs pages et dans JupyterLab
training-message-send = Envoyer
training-why = Pourquoi ; c’est gardé avec l’ordre
training-say-why = Dites pourquoi : c’est gardé avec l’ordre.
training-extend = Une heure de plus
training-open-hour = L’ouvrir pour une heure
training-close = La fermer pour le reste de ses heures
training-check = Ce qui n’irait pas
training-checked = Examiné
training-result = Résultat
training-found = Trouvé
training-fine = bien
training-wrong = à corriger
training-rehearsal = Répétition avec de vrais serveurs
training-rehearsal-lead = Autant de serveurs jetables que de personnes attendues qui trouvent place maintenant, sous votre propre compte. Ils sont mesurés et s’arrêtent d’eux-mêmes, et aussitôt si quelqu’un a besoin de leur place.
training-rehearse = Répéter maintenant
training-rehearse-end = Arrêter ses serveurs
training-rehearsed = { $who } : { $ready } prêts sur { $servers }.
training-rehearsed-all = { $people } personnes seraient là après { $takes } ; le fichier permet { $within }.
rehearsal-another = { $who } répète { $training } depuis { $since } ; cela doit d’abord se terminer.
rehearsal-somebody-waits = Quelqu’un attend le pool { $pool } ; une répétition prendrait ce qui s’y libère.
rehearsal-no-room = Aucune machine du pool { $pool } n’a de place maintenant pour un serveur de la formation.
training-orders = Ordonné en plus du fichier
training-ordered-open = ouverte
training-ordered-closed = fermée
training-not-done = Cela n’a pas été fait
training-not-yours = Seuls les administrateurs ouvrent et ferment des formations ; un formateur prolonge celle qui a lieu.
training-not-on = La formation n’a pas lieu : il n’y a pas de fin à repousser.
training-nothing-to-close = La formation n’a pas lieu : il n’y a rien à fermer.
training-open-anyway = La formation a lieu de toute façon jusqu’au { $until }.
training-too-long = Un formateur repousse la fin de { $longest } au plus à la fois.
training-in-the-way = Le calendrier n’a pas de place : { $why }.
training-pool-taken = { $training } a le pool à partir du { $from }
training-hosts-away = des machines du pool sont absentes à partir du { $from }
training-other-server = Un autre serveur de { $user } tourne sous ce nom ; son propriétaire doit d’abord l’arrêter.
training-nothing-runs = { $user } n’a pas de serveur de la formation qui puisse être arrêté.

## Annonces, maintenance, noyaux, journaux

nav-kernels = Noyaux
nav-notices = Annonces
nav-calendar = Calendrier
notices-lead = Ce qu’il faut savoir ici, pour vous, et quand des machines sont absentes.
notices-now = Maintenant
notices-none = Il n’y a pas d’annonce.
notices-planned = Maintenance à venir
notices-none-planned = Aucune maintenance n’est prévue.
notices-earlier = Plus tôt
notices-none-earlier = Rien ne s’est terminé dans les 30 derniers jours.
notices-ended = Terminé le
notices-yours = un de vos serveurs s’y trouve
calendar-title = Maintenance et annonces
calendar-lead = Quelles machines seront vides et quand, et ce que chacun lit au-dessus de ses serveurs.
calendar-maintenance = Maintenance
calendar-drains = Vidage à partir de
calendar-from = De
calendar-to = Jusqu’à
calendar-servers = Serveurs présents
calendar-planned = prévu
calendar-emptied = en cours de vidage
calendar-under-way = en cours
calendar-take-back = Annuler
calendar-end = Terminer
calendar-to-whom = Pour qui
calendar-audiences = all (tous), ou group:NOM, pool:NOM, host:NOM, training:NOM
calendar-level = Urgence
calendar-info = bon à savoir
calendar-warning = avertissement
calendar-until-empty = Un jour si vous laissez ce champ vide.
calendar-english = En anglais
calendar-french = En français (peut rester vide)
calendar-must-read = Chacun de ceux qu’elle concerne doit dire l’avoir lue
calendar-to-be-read = à lire
calendar-write = Écrire une annonce
calendar-tell = L’afficher
calendar-plan = Prévoir une maintenance
calendar-hosts = Machines, séparées par des espaces
calendar-reason = Pourquoi ; ceux dont les serveurs s’y trouvent le lisent
calendar-how = Les machines sont vidées auparavant, comme pour un vidage, restent vides, puis reprennent d’elles-mêmes des serveurs.
calendar-plan-it = La prévoir
calendar-no-audience = Écrivez all, group:NOM, pool:NOM, host:NOM, training:NOM ou users:NOM,NOM.
calendar-nobody = { $audience } n’atteint personne : cela n’existe pas ici.
calendar-no-text = Dites ce qu’il faut savoir, en anglais.
calendar-too-long = { $most } lettres au plus.
calendar-moment-missing = Donnez une date et une heure.
calendar-no-moment = « { $text } » n’est pas une date avec une heure.
calendar-no-zone = Il n’y a pas de fuseau horaire { $zone }.
calendar-ends = La fin doit être à venir, et après le début.
calendar-no-hosts = Nommez au moins une machine.
calendar-no-host = Il n’y a pas de machine { $host }.
calendar-no-reason = Dites pourquoi ; ceux dont les serveurs s’y trouvent le lisent.
kernels-lead = Ce que vos serveurs en marche offrent aux notebooks. On le leur demande à cet instant.
kernels-no-server = Aucun de vos serveurs ne tourne. Les noyaux sont cherchés dans un serveur en marche.
kernels-none = Le serveur n’offre aucun noyau.
kernels-kernel = Noyau
kernels-language = Langage
kernels-program = Programme
kernels-make = Faire un noyau de votre propre environnement
kernels-trial = Essai
kernels-try = Essayer
kernels-answered = { $kernel } a démarré et répondu après { $seconds } s. Il a été arrêté aussitôt.
kernels-failed = { $kernel } n’a pas démarré :
kernels-failed-next = Le journal, sur la page du serveur, en dit plus.
kernels-broken = Un de vos propres noyaux ne démarrera pas.
kernels-environment = Chemin de l’environnement
kernels-environment-hint = De conda ou venv, tel que votre serveur le voit. Cette page n’écrit rien.
kernels-no-path = Ce n’est pas un chemin : il doit commencer par / ou ~/.
kernels-make-button = Faire un noyau
kernels-make-lead = Tapez ceci dans un terminal de votre serveur :
kernels-make-then = Cela écrit kernel.json dans { $folder }. Rechargez ensuite le lanceur de JupyterLab. Si un tel noyau ne démarre pas, cette page et la carte du serveur disent pourquoi après le prochain démarrage du serveur.
log = Journal
log-as-of = lu le
log-again = Le relire
log-full = D’autres suivent en ce moment des journaux de cette machine. Relisez-le, ou attendez : cette page le suit dès que l’un d’eux s’en va.
log-empty = Le serveur n’a encore rien écrit.
asked-not-placed = Le serveur ne tourne nulle part.
asked-away = La machine ne peut être interrogée en ce moment.
asked-slow = La machine n’a pas répondu à temps. Réessayez.
asked-said = La machine répond : { $said }

## Ce que dit berth doctor

doctor-fleet = Tous les invariants tiennent sur { $hosts } machines et { $servers } serveurs.
doctor-fleet-remedy = C’est une erreur de Berth : signalez-la avec le journal du hub. Rien n’est arrêté pour autant ; ne redémarrez pas de serveurs à la main.
doctor-restore = Restauré d’une sauvegarde ; sans nouvelles depuis de { $hosts }.
doctor-restore-remedy = Aucun serveur ne démarre avant qu’elles ne se manifestent. Démarrez leurs agents ; retirez de hosts.d une machine disparue pour de bon.
doctor-hosts = { $well } sur { $all } se manifestent.
doctor-images = { $host } : { $image } est { $own }, et { $usual } sur la plupart des machines.
doctor-images-remedy = Les serveurs utilisent ce qu’ont la plupart des machines, récupéré par son empreinte ; une image sans registre est utilisée telle quelle. Chargez la bonne sur la machine, ou retirez-y son nom : docker rmi.
doctor-config = En vigueur depuis { $since }.
doctor-config-kept = Les derniers bons fichiers sont en vigueur ; ceux du disque sont faux : { $first }
doctor-config-wrong = Les fichiers du disque sont faux et ne sont pas en vigueur : { $first }
doctor-config-remedy = « berth config check » dit ce qui est faux ; corrigez-le.
doctor-config-back = Quelqu’un est revenu à des fichiers antérieurs.
doctor-config-back-remedy = « berth config diff » montre ce qui est sur le disque ; changez-le, ou « berth config reload ».
doctor-database = Elle accepte une écriture.
doctor-database-remedy = Regardez le disque du dossier d’état et le journal du hub ; « berth-hub restore » revient à une sauvegarde.
doctor-disk = { $free } libres pour { $folder }.
doctor-disk-short = Faites de la place : sans elle rien ne peut être démarré ni arrêté.
doctor-disk-remedy = Regardez le dossier d’état.
doctor-backup = La dernière : { $at }.
doctor-backup-none = Il n’y en a pas eu.
doctor-backup-remedy = Faites tourner « berth-hub backup FICHIER » chaque nuit.
doctor-certificate = Celui du proxy est valable jusqu’au { $until }.
doctor-certificate-none = Le proxy n’en a pas qui soit lisible.
doctor-certificate-remedy = Redémarrez berth-hub : il en écrit un nouveau. Cherchez ensuite pourquoi il n’a pas été renouvelé.
doctor-proxy = Il répond, et a toutes les { $routes } routes.
doctor-proxy-silent = Il ne répond pas.
doctor-proxy-remedy = Regardez berth-proxy : « systemctl status berth-proxy », et [proxy] api dans hub.toml.
doctor-proxy-lacks = Il lui manque { $lacks } des { $routes } routes.
doctor-proxy-lacks-remedy = Redemandez dans une minute ; regardez ensuite son journal.
doctor-answers = { $who } répond.
doctor-never = jamais
doctor-directory-nobody = Personne n’est encore connu.
doctor-directory-down = { $who } ne répond pas : { $why } ; dernière réponse sur { $name } : { $last }
doctor-directory-remedy = Jusqu’à ce qu’elle réponde, sa dernière réponse vaut aussi longtemps que le dit directory.toml.
doctor-mail-remedy = Les avertissements sont gardés et partent dès qu’il répond. Regardez [mail] dans hub.toml.
doctor-check-fleet = flotte
doctor-check-restore = restauration
doctor-check-hosts = machines
doctor-check-spaces = espaces
doctor-check-images = images
doctor-check-configuration = configuration
doctor-check-database = base de données
doctor-check-disk = disque
doctor-check-backup = sauvegarde
doctor-check-certificate = certificat
doctor-check-proxy = proxy
doctor-check-directory = annuaire
doctor-check-mail = courriel

## Ce qui n’irait pas avec une formation

check-over = elle est terminée : aucune heure n’en reste à venir
check-no-room = { $without } personnes sur { $people } ne trouvent pas de place pour { $memory } dans le groupe { $pool }
check-no-room-beside = { $without } personnes sur { $people } ne trouvent pas de place pour { $memory } dans le groupe { $pool }, à côté des formations de cette heure
check-room = { $people } × { $memory } ont place sur { $hosts }
check-without = { "" } ; sans { $host }, { $placed } d’entre elles
check-overflow = { "" }, { $count } dans le groupe { $pool }
check-no-image = il n’y a pas d’image { $image }
check-image = { $image } est sur les { $hosts }
check-image-lacks = { $image } est sur { $have } de { $hosts }, pas sur { $lack }
check-accounts = pas de compte valide : { $who }
check-named = { $known } sont nommées, { $expected } attendues
check-known = { $known } sont connues ici, { $expected } attendues ; d’autres de { $groups } à leur première connexion
check-away = { $host } est absente de { $from } à { $to } : { $reason }
check-closed = { $host } ne prend rien de nouveau : { $reason } ({ $who })
check-none-away = aucune machine n’est absente pendant ce temps
check-alone = aucune autre formation n’a alors le groupe { $pool }
check-other = { $name } ({ $from }, { $people } personnes)
check-clash = le groupe { $pool } est aussi à { $others }
check-shared = le groupe { $pool } est aussi à { $others } ; toutes ont de la place
check-assumed = { $one } par démarrage, supposé
check-measured = { $one } par démarrage, mesuré une fois
check-median = { $one } par démarrage, la médiane de { $times }
check-starts = { $starts } démarrages à la fois prennent { $takes } ({ $from }) ; { $within } sont permises
check-more = { $shown } et { $more } de plus
check-of-dates = dates
check-of-memory = mémoire
check-of-image = image
check-of-people = personnes
check-of-maintenance = maintenance
check-of-clash = chevauchement
check-of-start-rate = démarrages

## Ce qu’une décision a regardé

rule-account = le compte est valide
rule-hosts-told = toutes les machines ont dit ce qu’elles font tourner
rule-profile = le profil « { $name } » existe
rule-denied = { $person } n’est pas exclu
rule-open = le profil { $profile } est ouvert à tous
rule-whitelist = liste blanche de { $profile }
rule-whitelist-name = liste blanche de { $profile } : par son nom
rule-whitelist-group = liste blanche de { $profile } : groupe { $group }
rule-pool = le pool { $name } est ouvert
rule-takes-part = participe à { $title }
rule-teaches = donne la formation
rule-training = { $title } a lieu
rule-training-until = { $title } a lieu jusqu’à { $until }
rule-memory = { $asked } sur { $most } au plus dans ce profil
rule-gpus = { $asked } sur { $most } GPU au plus dans ce profil
rule-gpu-model = le modèle de GPU { $name } est proposé par ce profil
rule-image = l’image { $name } est proposée par ce profil
rule-quota-servers = { $held } serveurs en service sur { $limit }
rule-quota-memory = mémoire : { $held } + { $asked } sur { $limit }
rule-quota-gpus = GPU : { $held } + { $asked } sur { $limit }
rule-gpu-hours = { $used } heures de GPU sur { $limit } en { $window }
rule-gpu-hours-last = { $used } heures de GPU sur { $limit } en { $window } : servi quand personne d’autre n’attend
rule-gib-hours = { $used } GiB-heures sur { $limit } en { $window }
rule-gib-hours-last = { $used } GiB-heures sur { $limit } en { $window } : servi quand personne d’autre n’attend
rule-turn = premier de la file après { $after }
term-drains = vidée pendant qu’il peut vivre
term-preferred = préférée par une règle
term-image = image présente
term-waste = gaspillé en plaçant là
term-worth = valeur perdue
term-unusable = GPU qui devient inutilisable
term-scarcity = rareté
term-filling = place dans l’ordre de remplissage
term-reserved = mémoire déjà réservée
term-last = y était en dernier
term-order = place dans l’ordre des machines

## Des adresses qui restent

entry-number = n° { $id }
notice = Annonce
notice-now = en cours
notice-over = passée
notice-cancelled = annulée
notice-read-by = Ont dit l’avoir lue
notice-readers =
    { $count ->
        [0] personne
        [one] une personne
       *[other] { $count } personnes
    }
audit-entry = Entrée { $id } du journal
config-version = version { $version }
config-version-lead = Ce que les règles et le placement savaient des fichiers du site, avec les ordres sur les formations. Les décisions le nomment par ce numéro.
config-version-now = Elle est en vigueur.
config-version-then = Elle n’est plus en vigueur, ou pas encore de nouveau.
pool-placement = Placement
pool-pack = Remplit une machine après l’autre, pour que des machines entières restent libres.
pool-spread = Remplit toutes les machines également.
pool-limits = Les limites de tous les serveurs d’une machine comptent.
pool-peaks = Ce que les serveurs ont utilisé au plus récemment compte, et que chacun puisse croître jusqu’à sa limite.
pool-oversubscribe = Les limites peuvent atteindre { $times } fois la mémoire utilisable.
pool-open = Ouvert
pool-trainings-only = seulement pendant une formation
image-version = Version
image-before = Version précédente
image-who = Qui l’obtient
image-everybody = tout le monde, au prochain démarrage
image-canary = certaines personnes d’abord ; tout le monde à partir de
image-taken-back = personne : elle a été retirée, et la version précédente est donnée
image-running = Serveurs qui tournent avec elle
image-newer-there = il y en a une plus récente
image-newer = Une image plus récente existe : redémarrez pour l’obtenir.
image-there = présente
image-not-there = absente

## Demander de l’aide, et être prévenu

ask-for-help = Demander de l’aide
help-support = À propos d’un serveur, demandez depuis sa carte : la demande contient alors son identifiant, sa machine et ses heures.
ticket-subject = Serveur de notebooks { $server }
ticket-what = Ce que j’ai fait, et ce que j’attendais :
tab-waits = Place { $place } dans la file
tell-me = Me prévenir quand il est prêt
tell-granted = Vous serez prévenu, tant que cette page reste ouverte
tell-denied = Votre navigateur ne laisse pas ce site vous prévenir ; le titre de cette page change tout de même
tell-ready = { $server } est prêt
verdict-usually = Prêt d’habitude après { $seconds }.

## Quantités et colonnes choisies

memory-own = Une autre quantité
memory-own-gb = GB de mémoire
columns = Colonnes
age = Âge
